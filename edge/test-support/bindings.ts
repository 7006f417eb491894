/** Settings of the worker under test; test files that need others pass a changed `env` to the app. */
export const TEST_NODE_TOKEN = 'test-node-token';
export const TEST_SESSION_SECRET = 'test-session-secret-0123456789';

export const TEST_BINDINGS = {
  SESSION_SECRET: TEST_SESSION_SECRET,
  NODE_TOKEN: TEST_NODE_TOKEN,
} as const;
