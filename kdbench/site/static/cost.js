"use strict";
// The page Cost: score against a cost that the reader chooses, with the frontier.
(() => {
  const { figure, interval } = kdbench.plot;
  const { scatter, reach, shortNumber, logTicks } = kdbench.charts;
  let made = false;

  function draw(data) {
    const { score, models, views } = data;
    const names = models.map((model) => model.label);
    const marks = kdbench.marks.of(names, models.find((model) => model.baseline)?.label);
    const byName = new Map(views.map((view) => [view.name, view]));
    const link = (model) => kdbench.address("run", { run: model.run });
    const text = (view, model, cost) =>
      `${model.label}\n${score.name} ${interval(model.score, score.decimals)}\n${view.label}: ${shortNumber(cost)}`;

    const chart = (view) => (width, shown) => {
      const rows = view.points.map(([i, cost]) => ({ model: models[i], cost }));
      const costs = rows.map((row) => row.cost);
      const log = Math.min(...costs) > 0 && Math.max(...costs) > 3 * Math.min(...costs);
      const cost = new Map(view.points);
      // Steps: the best score that a cost buys.
      const steps = view.frontier.map((i) => ({ x: cost.get(i), y: models[i].score[0] }));
      const domain = log
        ? [Math.min(...costs) / 1.3, Math.max(...costs) * 1.3]
        : reach(costs.map((c) => [c, null, null]));
      return {
        ...scatter({
          points: rows.map(({ model, cost: c }) => ({
            name: model.label,
            label: model.label,
            x: [c, null, null],
            y: model.score,
            href: link(model),
            title: text(view, model, c),
          })),
          marks,
          x: {
            type: log ? "log" : "linear",
            domain: log ? domain : [Math.max(0, domain[0]), domain[1]],
            ...(log ? { ticks: logTicks(domain) } : {}),
            label: `${view.label}${log && width > 450 ? " (log scale)" : ""}`,
            tickFormat: shortNumber,
          },
          y: {
            label: `${score.name} (${score.unit}), ${data.over}`,
            domain: reach(rows.map((row) => row.model.score)),
            reverse: score.lower,
          },
          under:
            steps.length > 1
              ? [
                  Plot.line(steps, {
                    x: "x",
                    y: "y",
                    curve: "step-after",
                    stroke: "var(--quiet)",
                    strokeDasharray: "2 4",
                  }),
                ]
              : [],
        })(width, shown),
        height: 380,
      };
    };
    const note = (name) => {
      const view = byName.get(name);
      const best = view.frontier.map((i) => names[i]).join(", ");
      return `On the frontier, the cheapest first: ${best}.${view.condition ? ` Measured with ${view.condition}.` : ""}`;
    };
    return figure({
      title: "Quality against cost",
      caption:
        "Up means a better score, left means cheaper. The dotted line, the frontier, joins the models that no other one beats in both. Bars are 95 % intervals over prompts. A point leads to its run.",
      names: (name) => byName.get(name).points.map(([i]) => names[i]),
      marks,
      wide: true,
      choices: views.map((view) => [view.name, view.label]),
      note,
      panels: (name) => [
        { label: `${score.name} against ${byName.get(name).label}`, options: chart(byName.get(name)) },
      ],
      numbers: (name) => ({
        caption: byName.get(name).label,
        rows: byName.get(name).points,
        columns: [
          { title: "model", value: ([i]) => names[i], href: ([i]) => link(models[i]) },
          { title: score.name, value: ([i]) => interval(models[i].score, score.decimals) },
          { title: byName.get(name).label, value: ([, cost]) => shortNumber(cost) },
          {
            title: "on the frontier",
            text: true,
            value: ([i]) => (byName.get(name).frontier.includes(i) ? "yes" : "no"),
          },
        ],
      }),
    });
  }

  async function show(_params, element) {
    if (made) return;
    made = true;
    element.querySelector('[data-plots="cost"]').append(draw(await kdbench.load("cost")));
  }
  kdbench.page("cost", { show });
})();
