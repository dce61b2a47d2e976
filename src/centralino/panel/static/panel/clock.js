// How long something has lasted, and when to say so anew.

const TICK = 1_000;

/** Write a duration in ms: calls to the second, everything else as coarse as people speak. */
export function duration(milliseconds, precise) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const two = (number) => String(number).padStart(2, "0");
  if (precise) {
    return hours ? `${hours}:${two(minutes % 60)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  }
  if (minutes < 1) return "just now";
  if (hours < 1) return `${minutes} min`;
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}

/** Call `tick` once a second while the page is seen, and at once when it is seen again. */
export function everySecond(tick) {
  setInterval(() => document.hidden || tick(), TICK);
  document.addEventListener("visibilitychange", () => document.hidden || tick());
}
