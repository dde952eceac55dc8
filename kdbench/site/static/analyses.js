"use strict";
// The page Analyses: draws the panels of each answer.
(() => {
  const { figure } = kdbench.plot;
  const shortNumber = (value) => String(Number(value.toPrecision(4)));

  function draw({ title, panels }) {
    const labelsOf = (wanted) => [...new Set(wanted.flatMap((panel) => panel.curves.map((curve) => curve.label)))];
    const names = labelsOf(panels);
    const marks = kdbench.marks.of(labelsOf(panels.filter((panel) => !panel.bars)));
    for (const panel of panels.filter((one) => one.bars))
      panel.curves.forEach(({ label }, i) =>
        marks.set(label, { colour: `var(--share-${(i % 5) + 1})`, symbol: "square", dash: "" }),
      );
    const within = (low, high) => (low === null ? "" : ` [${shortNumber(low)}, ${shortNumber(high)}]`);
    const text = (label, [x, y, low, high], name, across) =>
      `${name ? `${name}: ` : ""}${label}\n${shortNumber(x)}${across ? within(...across) : ""}: ${shortNumber(y)}${within(low, high)}`;

    // Stacked horizontal bars: each curve is a part of all of them.
    const stacked = (panel) => (_width, shown) => {
      const starts = panel.bars.map(() => 0);
      const parts = panel.curves
        .filter((curve) => shown(curve.label))
        .flatMap(({ label, points }) =>
          points.map(([place, share]) => ({ label, place, share, from: starts[place], to: (starts[place] += share) })),
        );
      return {
        height: 66 + 16 * panel.bars.length,
        marginLeft: 110,
        x: { label: panel.x.label },
        y: {
          type: "band",
          label: null,
          domain: panel.bars.map((_, place) => place),
          tickFormat: (place) => kdbench.marks.short(panel.bars[place], 16),
          tickSize: 0,
          padding: 0.12,
        },
        marks: [
          Plot.barX(parts, {
            x1: "from",
            x2: "to",
            y: "place",
            fill: (part) => marks.get(part.label).colour,
            title: (part) => `${panel.bars[part.place]}\n${part.label}: ${shortNumber(part.share)}`,
          }),
        ],
      };
    };

    const drawn = (panel) => (_width, shown) => {
      const curves = panel.curves.filter((curve) => shown(curve.label));
      const at = { x: (point) => point[0], y: (point) => point[1] };
      const grey = { stroke: "var(--quiet)" };
      const zero = panel.crossed ? [Plot.ruleX([0], grey), Plot.ruleY([0], grey)] : [];
      const layers = curves.flatMap(({ label, joined, points, across, names: named }) => {
        const { colour, symbol, dash } = marks.get(label);
        const known = points.filter((point) => point[2] !== null);
        const ends = { x: at.x, y1: (point) => point[2], y2: (point) => point[3] };
        const spread = joined
          ? Plot.areaY(known, { ...ends, fill: colour, fillOpacity: 0.16 })
          : Plot.ruleX(known, { ...ends, stroke: colour });
        const line = joined ? [Plot.line(points, { ...at, stroke: colour, strokeWidth: 1.8, strokeDasharray: dash })] : [];
        const title = (point, i) => text(label, point, named?.[i], across?.[i]);
        const dots = Plot.dot(points, { ...at, symbol, fill: colour, r: joined ? 2.5 : 4, title });
        const wide = across
          ? [Plot.ruleY(points, { y: at.y, x1: (_, i) => across[i][0], x2: (_, i) => across[i][1], stroke: colour, strokeOpacity: 0.5 })]
          : [];
        const words = named
          ? [Plot.text(points, { ...at, text: (_, i) => named[i], dx: 7, dy: -7, textAnchor: "start", fill: colour })]
          : [];
        return [spread, ...wide, ...line, dots, ...words];
      });
      const type = (axis) => (axis.log ? "log" : "linear");
      return {
        x: { type: type(panel.x), label: panel.x.label, nice: true, tickFormat: shortNumber },
        y: { type: type(panel.y), label: panel.y.label, nice: true, grid: true, tickFormat: shortNumber },
        marginLeft: 56,
        marks: [...zero, ...layers],
      };
    };
    const rows = panels.flatMap((panel) =>
      panel.curves.flatMap((curve) =>
        curve.points.map((point, i) => ({ panel, curve, point, name: (panel.bars ?? curve.names)?.[i] ?? "" })),
      ),
    );
    return figure({
      title: `${title}: figure`,
      caption: "Bands and bars are 95 % intervals.",
      names,
      marks,
      line: panels.some((panel) => !panel.bars && panel.curves.some((curve) => curve.joined)),
      panels: () =>
        panels.map((panel) => ({
          title: panel.title,
          label: `${title}: ${panel.title}; ${panel.y.label} by ${panel.x.label}`,
          options: panel.bars ? stacked(panel) : drawn(panel),
        })),
      numbers: () => ({
        caption: title,
        rows,
        columns: [
          { title: "panel", value: (row) => row.panel.title },
          { title: "curve", text: true, value: (row) => row.curve.label },
          ...(rows.some((row) => row.name) ? [{ title: "name", text: true, value: (row) => row.name }] : []),
          { title: "x", value: (row) => shortNumber(row.point[0]) },
          { title: "y", value: (row) => shortNumber(row.point[1]) },
          {
            title: "95 % interval",
            value: ({ point }) => (point[2] === null ? "–" : `[${shortNumber(point[2])}, ${shortNumber(point[3])}]`),
          },
        ],
      }),
    });
  }

  kdbench.page("analyses", {
    async show(_params, element) {
      for (const holder of element.querySelectorAll("[data-figure]")) {
        if (holder.dataset.drawn) continue;
        holder.dataset.drawn = "yes";
        holder.replaceChildren(draw(await kdbench.load(holder.dataset.figure)));
      }
    },
  });
})();
