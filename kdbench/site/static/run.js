"use strict";
// The page Run: chooses the run, and draws the curves of its training.
(() => {
  const tools = document.getElementById("run-tools");
  const runs = [...document.querySelectorAll("article.run")];
  const folders = runs.map((run) => run.dataset.run);

  tools.addEventListener("change", () => kdbench.go("run", { run: tools.elements.run.value }));
  tools.addEventListener("submit", (event) => event.preventDefault());

  async function curves(holder) {
    const { series, selected } = await kdbench.load(holder.dataset.log);
    const names = Object.keys(series).filter((name) => series[name].length > 1);
    const validation = (name) => name.startsWith("eval_");
    const title = (name) => (validation(name) ? `validation ${name.slice(5)}` : name);
    names.sort((a, b) => validation(b) - validation(a)); // loss first in each kind, as logged
    const panels = () =>
      names.map((name) => ({
        title: title(name),
        label: `${title(name)} by step`,
        options: () => ({
          height: 190,
          x: { label: "step", nice: true },
          y: { label: null, grid: true, nice: true },
          marks: [
            selected === null || selected === undefined ? null : Plot.ruleX([selected], { stroke: "var(--quiet)", strokeDasharray: "3 3" }),
            Plot.lineY(series[name], { x: (d) => d[0], y: (d) => d[1], stroke: "var(--accent)", strokeWidth: 1.8 }),
            series[name].length < 40 ? Plot.dot(series[name], { x: (d) => d[0], y: (d) => d[1], fill: "var(--accent)", r: 2.5, title: (d) => `step ${d[0]}: ${d[1]}` }) : null,
          ],
        }),
      }));
    const rows = names.flatMap((name) => series[name].map(([step, value]) => ({ name, step, value })));
    const numbers = () => ({
      caption: "The training log",
      columns: [
        { title: "series", value: (row) => title(row.name) },
        { title: "step", value: (row) => String(row.step) },
        { title: "value", value: (row) => row.value.toPrecision(6) },
      ],
      rows,
    });
    const chosen = selected === null || selected === undefined ? "" : " The dashed line is the step whose checkpoint was kept.";
    holder.replaceChildren(kdbench.plot.figure({ title: "Training curves", caption: `By optimiser step.${chosen}`, panels, numbers }));
  }

  kdbench.page("run", {
    keys: [["j / k", "next or previous run"]],
    key(event) {
      const step = { j: 1, k: -1 }[event.key];
      if (!step) return false;
      const place = folders.indexOf(tools.elements.run.value) + step;
      if (folders[place] !== undefined) kdbench.go("run", { run: folders[place] });
      return true;
    },
    async show(params) {
      const run = folders.includes(params.run) ? params.run : folders[0];
      tools.elements.run.value = run;
      for (const article of runs) article.classList.toggle("shown", article.dataset.run === run);
      const holder = runs[folders.indexOf(run)].querySelector(".curves");
      if (holder && !holder.dataset.drawn) {
        holder.dataset.drawn = "yes";
        await curves(holder);
      }
    },
  });
})();
