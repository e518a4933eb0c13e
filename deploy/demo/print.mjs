// Words on the terminal: colour only where a person looks and has not asked for none.

const coloured = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code) => (text) => (coloured ? `\u001b[${code}m${text}\u001b[0m` : String(text));

export const style = { good: paint(32), bad: paint(31), bold: paint(1), faint: paint(2) };

export const say = (line = "") => console.log(line);

export const heading = (text) => say(`\n${style.bold(text)}`);

/** A line of columns; widths below zero align to the left. The last column may be coloured, so it is not padded. */
export function row(widths, cells) {
  say(cells.map((cell, i) => pad(String(cell), widths[i] ?? 0)).join("  "));
}

const pad = (text, width) => (width < 0 ? text.padEnd(-width) : text.padStart(width));

/** Milliseconds, with a decimal where they are few. */
export const ms = (value) => (value < 10 ? value.toFixed(1) : String(Math.round(value)));

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
