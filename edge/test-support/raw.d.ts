/** A file's text, put into the bundle of a test. */
declare module '*?raw' {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: bundlers give it by this name.
  export default text;
}
