"use strict";
// The page Frontier: quality against entropy at several temperatures, and the gain over the baseline's curve.
(() => {
  const { figure, interval } = kdbench.plot;
  const { lines, dots, reach } = kdbench.charts;
  let made = false;

  function curves(data, marks) {
    const { metric, unit, lower, decimals, students } = data;
    const text = (student, [temperature, entropy, quality]) =>
      `${student.label}, temperature ${temperature}\n${metric} ${interval(quality, decimals)}\nentropy ${interval(entropy, 3)}`;
    const series = students.map((student) => ({
      name: student.label,
      label: student.label,
      points: [...student.points]
        .sort((a, b) => a[1][0] - b[1][0])
        .map((point) => ({ x: point[1][0], y: [point[2][0], null, null], title: text(student, point) })),
    }));
    const options = (width, shown) => {
      const seen = series.filter((one) => shown(one.name));
      const all = seen.flatMap((one) => one.points.map((point) => ({ ...point, name: one.name })));
      const drawn = lines({
        series,
        marks,
        x: { label: "entropy of the sampling distribution (nats per token)", domain: reach(all.map((p) => [p.x])) },
        y: { label: `${metric} (${unit})`, domain: reach(all.map((p) => p.y)), reverse: lower },
      })(width, shown);
      const dot = Plot.dot(all, { x: "x", y: (p) => p.y[0], symbol: "name", fill: "name", r: 4 });
      return { ...drawn, height: 400, marks: [...drawn.marks, dot] };
    };
    return figure({
      title: "Quality against entropy",
      caption:
        "A point is a sampling temperature, the lowest on the left. Where a curve lies above another one, the student is better at the same entropy.",
      names: students.map((student) => student.label),
      marks,
      line: true,
      wide: true,
      panels: () => [{ label: `${metric} against entropy`, options }],
      numbers: () => ({
        caption: `${metric} and entropy at each temperature, with 95 % intervals`,
        rows: students.flatMap((student) => student.points.map((point) => ({ student, point }))),
        columns: [
          { title: "student", value: ({ student }) => student.label },
          { title: "temperature", value: ({ point }) => String(point[0]) },
          { title: "entropy", value: ({ point }) => interval(point[1], 3) },
          { title: metric, value: ({ point }) => interval(point[2], decimals) },
        ],
      }),
    });
  }

  function gains(data, marks) {
    const rows = data.students.filter((student) => student.gain);
    const text = (student) => `${student.label}\nfrontier_gain ${interval(student.gain, data.decimals, true)}`;
    return figure({
      title: `Gain over the curve of ${data.baseline}`,
      caption: "Mean vertical distance between the curves; bars are 95 % intervals.",
      marks,
      wide: true,
      low: true,
      panels: () => [
        {
          label: `frontier_gain over ${data.baseline}`,
          options: dots({
            rows: rows.map((student) => ({
              name: student.label,
              label: student.label,
              value: student.gain,
              title: text(student),
            })),
            marks,
            x: {
              label: `frontier_gain (${data.unit})`,
              domain: reach([...rows.map((student) => student.gain), [0, null, null]]),
            },
            rules: [{ x: 0 }],
          }),
        },
      ],
      numbers: () => ({
        caption: `Gain over ${data.baseline}`,
        rows,
        columns: [
          { title: "student", value: (student) => student.label },
          { title: "frontier_gain", value: (student) => interval(student.gain, data.decimals, true) },
        ],
      }),
    });
  }

  async function show(_params, element) {
    if (made) return;
    made = true;
    const data = await kdbench.load("frontier");
    const marks = kdbench.marks.of(
      data.students.map((student) => student.label),
      data.baseline,
    );
    const place = element.querySelector('[data-plots="frontier"]');
    place.append(curves(data, marks));
    if (data.students.some((student) => student.gain)) place.append(gains(data, marks));
  }
  kdbench.page("frontier", { show });
})();
