// A small seeded generator, so that every clinic has the same people with the same ids.

/** Mulberry32: 32 bits of state, enough for made-up data and nothing else. */
export function createRandom(state) {
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound) => Math.floor(next() * bound);
  const pick = (list) => list[below(list.length)];
  const hex = (digits) => Array.from({ length: digits }, () => below(16).toString(16)).join("");
  const uuid = () => `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`;
  return { below, pick, uuid };
}
