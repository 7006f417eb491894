// Declares the module `cloudflare:test`.
/// <reference types="@cloudflare/vitest-plugin/types" />
