const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `cleanup` when this process ends: at the end of its work, by `process.exit`, an uncaught error or one of
 * `SIGINT`, `SIGTERM`, `SIGHUP`. It has to be synchronous: an `exit` listener gets no other time. Returns how to forget
 * it. Nothing can guard against `SIGKILL`.
 */
export function atExit(cleanup: () => void): () => void {
  const forget = (): void => {
    process.off('exit', cleanup);
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    forget();
    cleanup();
    // Having a listener took the signal's default effect away. Others that listen decide for themselves how to end.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  process.on('exit', cleanup);
  // First in line, so that a `once` listener of somebody else is still there to be counted.
  for (const signal of SIGNALS) process.prependListener(signal, onSignal);
  return forget;
}
