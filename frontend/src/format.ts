/** Numbers, sizes and times for people; `–` if there is none. */

export const NONE = "–";

type Maybe = number | null | undefined;

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

const known = (value: Maybe): value is number => value !== null && value !== undefined;

export const count = (value: Maybe): string => (known(value) ? whole.format(value) : NONE);

/** A share of 1 as a percentage: 0.0312 is "3.1%", 0.874 is "87%". */
export function percent(value: Maybe, digits?: number): string {
  if (!known(value)) return NONE;
  const hundred = 100 * value;
  const shown = digits ?? (hundred !== 0 && Math.abs(hundred) < 10 ? 1 : 0);
  return `${hundred.toFixed(shown)}%`;
}

export const decimal = (value: Maybe, digits = 3): string =>
  known(value) ? value.toFixed(digits) : NONE;

export function milliseconds(value: Maybe): string {
  if (!known(value)) return NONE;
  if (value >= 10_000) return `${(value / 1000).toFixed(0)} s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return value >= 10 ? `${value.toFixed(0)} ms` : `${value.toFixed(1)} ms`;
}

export function bytes(value: Maybe): string {
  if (!known(value)) return NONE;
  if (value < 1000) return `${value} B`;
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e4 ? 1 : 0)} kB`;
  return `${(value / 1e6).toFixed(1)} MB`;
}

/** Seconds as "40 s", "3 min 20 s", "2 h 5 min". */
export function duration(value: Maybe): string {
  if (!known(value)) return NONE;
  const seconds = Math.max(0, Math.round(value));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  hour: "2-digit",
  minute: "2-digit",
});

export const dateTime = (iso: string | number | null | undefined): string =>
  iso === null || iso === undefined ? NONE : moment.format(new Date(iso));
export const time = (iso: string | number): string => clock.format(new Date(iso));
export const dayTime = (iso: string | number): string => day.format(new Date(iso));

const ago = new Intl.RelativeTimeFormat("en-GB", { numeric: "auto", style: "short" });

/** "3 min ago", from now. */
export function since(iso: string | number, now = Date.now()): string {
  const seconds = Math.round((new Date(iso).getTime() - now) / 1000);
  for (const [unit, size] of [
    ["day", 86_400],
    ["hour", 3_600],
    ["minute", 60],
  ] as const) {
    if (Math.abs(seconds) >= size) return ago.format(Math.round(seconds / size), unit);
  }
  return ago.format(seconds, "second");
}

/** The name of a class for people; `clickbait_fake` is the folder name of clickbait. */
export function className(label: string | null | undefined): string {
  if (label === "clickbait_fake") return "Clickbait";
  if (label === "clickbait_real") return "Legitimate";
  return label ?? NONE;
}

export const plural = (n: number, one: string, many = `${one}s`): string =>
  `${count(n)} ${n === 1 ? one : many}`;
