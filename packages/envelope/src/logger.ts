/** Where a factory is heard. `console` and pino fit; the default is silence. Only scrubbed text is logged. */
export interface Logger {
  debug?(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
