"use strict";
// Marks of plots: what tells one student from another without colour, and labels that do not overlap.
kdbench.marks = (() => {
  const COLOURS = 8; // --mark-1 … --mark-8 in plot.css; --mark-0 is the baseline's
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "wye", "hexagon"];
  const DASHES = ["", "7 3", "2 3", "8 3 2 3", "14 4", "5 2 1 2 1 2", "3 6"];
  const BASELINE = { colour: "var(--mark-0)", symbol: "times", dash: "10 2 2 2" };

  // A mark for each name; no two of 56 share colour and symbol, or colour and dashes.
  function of(names, baseline = null) {
    const others = names.filter((name) => name !== baseline);
    return new Map(
      names.map((name) => {
        const i = others.indexOf(name);
        if (i < 0) return [name, BASELINE];
        const colour = `var(--mark-${(i % COLOURS) + 1})`;
        return [name, { colour, symbol: SYMBOLS[i % SYMBOLS.length], dash: DASHES[i % DASHES.length] }];
      }),
    );
  }

  function short(text, letters = 18) {
    if (text.length <= letters) return text;
    const half = Math.floor((letters - 1) / 2);
    return `${text.slice(0, half)}…${text.slice(-half)}`; // names differ at their ends
  }

  // Pixels of a text at 12 px: wide letters of Chinese, Japanese and Korean, capitals, others.
  const widthOfLetter = (letter) => (letter >= "\u2e80" ? 12.5 : letter >= "A" && letter <= "Z" ? 8.2 : 6.4);
  const widthOf = (text) => [...text].reduce((sum, letter) => sum + widthOfLetter(letter), 0);
  const PLACES = [
    [1, -7],
    [-1, -7],
    [1, -17],
    [1, 4],
    [-1, -17],
    [-1, 4],
    [0, -22],
    [0, 9],
    [1, -26],
    [1, 13],
    [-1, -26],
    [-1, 13],
  ];
  const overlap = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

  // Labels next to points: at the first of some places that is free of points, labels and, if possible,
  // intervals. A point without room gets none; the key and its title name it.
  function besidePoints(points, intervals, { width, height, left, top, right, bottom }) {
    const taken = points.map(({ x, y }) => ({ x: x - 7, y: y - 7, w: 14, h: 14 }));
    const inside = (b) => b.x >= left && b.y >= top && b.x + b.w <= width - right && b.y + b.h <= height - bottom;
    const free = (box, boxes) => inside(box) && !boxes.some((other) => overlap(box, other));
    return points.flatMap((point) => {
      const text = short(point.label);
      const w = widthOf(text);
      const places = PLACES.map(([side, up]) => ({
        x: point.x + (side > 0 ? 8 : side < 0 ? -8 - w : -w / 2),
        y: point.y + up,
        w,
        h: 13,
      }));
      const box = places.find((p) => free(p, [...taken, ...intervals])) ?? places.find((p) => free(p, taken));
      if (!box) return [];
      taken.push(box);
      return [{ text, x: box.x, y: box.y + 10.5 }];
    });
  }

  // Labels at the ends of lines: moved apart downwards, then back up from the bottom.
  function besideEnds(ends, { bottom, step = 14 }) {
    const sorted = [...ends].sort((a, b) => a.y - b.y);
    let last = -Infinity;
    for (const end of sorted) last = end.y = Math.max(end.y, last + step);
    let limit = bottom;
    for (const end of sorted.reverse()) {
      end.y = Math.min(end.y, limit);
      limit = end.y - step;
    }
    return ends;
  }

  return { of, short, widthOf, besidePoints, besideEnds };
})();
