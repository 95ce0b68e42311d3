import type { Logger } from '@keywright/envelope';

/** The host's logger, of which nothing comes back: a call does not fail because its log line did. */
export function safeLogger(logger: Logger | undefined): Logger | undefined {
  if (logger === undefined) return undefined;
  const safely =
    (level: 'info' | 'warn' | 'error') =>
    (message: string): void => {
      try {
        logger[level](message);
      } catch {
        // there is nowhere else to say it
      }
    };
  return { info: safely('info'), warn: safely('warn'), error: safely('error') };
}
