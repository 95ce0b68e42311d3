import { invalidArgument, kindOf } from '../arguments.ts';
import type { Telemetry } from './telemetry.ts';

const METHODS = ['begin', 'measure', 'observe'] as const;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkTelemetry(telemetry: Telemetry): Telemetry {
  const given = telemetry as Partial<Telemetry> | null;
  if (typeof given === 'object' && given !== null && METHODS.every((method) => typeof given[method] === 'function')) {
    return telemetry;
  }
  throw invalidArgument('telemetry', 'what openTelemetry() returns, or another Telemetry', kindOf(telemetry));
}
