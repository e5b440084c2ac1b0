// Nothing to set: the options are in vite.config.ts.
export default {};
