// What the words that are chosen have learnt at tau: two matrices, and their curves.
const began = performance.now()
const {inputs, outputs, tau, stages, beta, share, learnt, colours, dashes} = store.tags[0]
const I = inputs.length, O = outputs.length, T = tau.length
const s = Math.max(0, stages.indexOf(stage.value)), k = time.value
const at = (values, t, i, o) => values[((s * T + t) * I + i) * O + o]
const chosen = words.value.map((word) => inputs.indexOf(word)).filter((i) => i >= 0)
const columns = [...new Set(chosen.map((i) => learnt[s * I + i]))]
for (const [source, values, range_x, range_y] of [[known, beta, x1, y1], [attended, share, x2, y2]]) {
  const data = {input: [], output: [], value: [], text: [], ink: []}
  for (const i of chosen) for (const o of columns) {
    const value = at(values, k, i, o)
    data.input.push(inputs[i])
    data.output.push(outputs[o])
    data.value.push(value)
    data.text.push(Number.isFinite(value) ? value.toFixed(2) : "")
    data.ink.push(value > 0.55 ? "#ffffff" : "#000000")
  }
  range_x.factors = columns.map((o) => outputs[o])
  range_y.factors = chosen.map((i) => inputs[i]).reverse()
  source.data = data
}
const lines = {xs: [], ys: [], name: [], colour: [], dash: []}
chosen.forEach((i, n) => {
  const o = learnt[s * I + i]
  for (const [values, dash, told] of [[beta, "solid", "β of"], [share, "dashed", "attention on"]]) {
    const ys = []
    for (let t = 1; t < T; t++) ys.push(at(values, t, i, o))
    lines.xs.push(tau.slice(1).map((x) => Math.log10(x)))
    lines.ys.push(ys)
    lines.name.push(`${told} ${inputs[i]} (${outputs[o]})`)
    lines.colour.push(colours[n % colours.length])
    lines.dash.push(dash)
  }
})
curves.data = lines
now.data = {at: [Math.log10(tau[Math.max(k, 1)])], colour: ["#8a8a8a"], dash: ["solid"]}
const told = chosen.slice(0, 4).map((i) => {
  const o = learnt[s * I + i]
  return `${inputs[i]} → ${outputs[o]}: β ${at(beta, k, i, o).toFixed(2)}, attention ${at(share, k, i, o).toFixed(2)}`
})
const status = document.getElementById("status")
if (status) status.textContent = `At τ = ${tau[k].toPrecision(3)}: ${told.join("; ")}.`
requestAnimationFrame(() => setTimeout(() => {  // painted
  document.documentElement.dataset.answered = (performance.now() - began).toFixed(1)
}))
