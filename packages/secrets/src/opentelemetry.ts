export { type OpenTelemetryOptions, openTelemetry } from './telemetry/opentelemetry.ts';
export type {
  Telemetry,
  TelemetryGauges,
  TelemetryMeasures,
  TelemetryOperation,
  TelemetrySpan,
  UnsealedRows,
} from './telemetry/telemetry.ts';
