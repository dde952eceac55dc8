"use strict";
// The page Analyses: draws the panels of each answer.
(() => {
  const { figure } = kdbench.plot;
  const shortNumber = (value) => String(Number(value.toPrecision(4)));

  function draw({ title, panels }) {
    const names = [...new Set(panels.flatMap((panel) => panel.curves.map((curve) => curve.label)))];
    const marks = kdbench.marks.of(names);
    const text = (label, [x, y, low, high]) => {
      const ends = low === null ? "" : ` [${shortNumber(low)}, ${shortNumber(high)}]`;
      return `${label}\n${shortNumber(x)}: ${shortNumber(y)}${ends}`;
    };

    const drawn = (panel) => (_width, shown) => {
      const curves = panel.curves.filter((curve) => shown(curve.label));
      const at = { x: (point) => point[0], y: (point) => point[1] };
      const layers = curves.flatMap(({ label, joined, points }) => {
        const { colour, symbol, dash } = marks.get(label);
        const known = points.filter((point) => point[2] !== null);
        const ends = { x: at.x, y1: (point) => point[2], y2: (point) => point[3] };
        const spread = joined
          ? Plot.areaY(known, { ...ends, fill: colour, fillOpacity: 0.16 })
          : Plot.ruleX(known, { ...ends, stroke: colour });
        const line = joined ? [Plot.line(points, { ...at, stroke: colour, strokeWidth: 1.8, strokeDasharray: dash })] : [];
        const dots = Plot.dot(points, { ...at, symbol, fill: colour, r: joined ? 2.5 : 4, title: (point) => text(label, point) });
        return [spread, ...line, dots];
      });
      const type = (axis) => (axis.log ? "log" : "linear");
      return {
        x: { type: type(panel.x), label: panel.x.label, nice: true, tickFormat: shortNumber },
        y: { type: type(panel.y), label: panel.y.label, nice: true, grid: true, tickFormat: shortNumber },
        marginLeft: 56,
        marks: layers,
      };
    };
    const rows = panels.flatMap((panel) =>
      panel.curves.flatMap((curve) => curve.points.map((point) => ({ panel, curve, point }))),
    );
    return figure({
      title: `${title}: figure`,
      caption: "Bands and bars are 95 % intervals.",
      names,
      marks,
      line: panels.some((panel) => panel.curves.some((curve) => curve.joined)),
      panels: () =>
        panels.map((panel) => ({
          title: panel.title,
          label: `${title}: ${panel.title}; ${panel.y.label} by ${panel.x.label}`,
          options: drawn(panel),
        })),
      numbers: () => ({
        caption: title,
        rows,
        columns: [
          { title: "panel", value: (row) => row.panel.title },
          { title: "curve", text: true, value: (row) => row.curve.label },
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
