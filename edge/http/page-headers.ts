/**
 * The pages use what is served beside them and nothing else; a token in their address is not for other sites. Other pages
 * may show them in a frame: a player is made for that.
 */
export const PAGE_HEADERS = {
  'Content-Security-Policy': "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'",
  'Referrer-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
};
