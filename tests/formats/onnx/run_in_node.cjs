// node run_in_node.cjs MODEL FRAMES.json OUT.json: runs a sequence graph in onnxruntime-node.
const fs = require('node:fs');
const ort = require('onnxruntime-node');

async function main([model, given, wanted]) {
  const { shape, values } = JSON.parse(fs.readFileSync(given, 'utf8'));
  const session = await ort.InferenceSession.create(model);
  const frames = new ort.Tensor('uint8', Uint8Array.from(values), shape);
  const results = await session.run({ frames });
  const out = {};
  for (const [name, tensor] of Object.entries(results)) {
    out[name] = { shape: tensor.dims, values: Array.from(tensor.data, Number) };
  }
  fs.writeFileSync(wanted, JSON.stringify(out));
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exit(1); });
