import { isKeywrightError } from '@keywright/envelope';
import type { Telemetry, TelemetryMeasures, TelemetryOperation, TelemetrySpan } from './telemetry.ts';

/** Runs an operation and tells how it went. */
export async function observed<T>(
  telemetry: Telemetry,
  operation: TelemetryOperation,
  work: () => Promise<T>,
): Promise<T> {
  const span = quietly(() => telemetry.begin(operation));
  if (span === undefined) return await work();
  try {
    const result = await within(span, work);
    quietly(() => span.end(undefined));
    return result;
  } catch (error) {
    quietly(() => span.end(isKeywrightError(error) ? error : undefined));
    throw error;
  }
}

/** Tells a measurement. */
export function measured<Name extends keyof TelemetryMeasures>(
  telemetry: Telemetry | undefined,
  name: Name,
  value: TelemetryMeasures[Name],
): void {
  if (telemetry !== undefined) quietly(() => telemetry.measure(name, value));
}

/** What the operation returns or throws, whatever the span makes of it. */
async function within<T>(span: TelemetrySpan, work: () => Promise<T>): Promise<T> {
  let running: Promise<T> | undefined;
  const once = (): Promise<T> => {
    running ??= work();
    return running;
  };
  // What it returns is not waited for: it may fail, or never end.
  quietly(() => void Promise.resolve(span.run(once)).catch(() => undefined));
  return await once();
}

/** What `tell` returns, if it does: an operation does not fail because it could not be measured. */
export function quietly<T>(tell: () => T): T | undefined {
  try {
    return tell();
  } catch {
    return undefined;
  }
}
