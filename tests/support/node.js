// node node.js reserialize TYPE FILE: prints whether TYPE re-serialises to the same bytes.
// node node.js encrypt PUBLIC_KEY OUT PACKING KIND=VALUE...: writes a CompactCiphertextList.
"use strict";
const fs = require("fs");
const tfhe = require("node-tfhe");

const LIMIT = 1n << 33n;
const TYPES = {
  CompactPublicKey: tfhe.TfheCompactPublicKey,
  CompressedServerKey: tfhe.TfheCompressedServerKey,
  CompactCiphertextList: tfhe.CompactCiphertextList,
  ClientKey: tfhe.TfheClientKey,
};

function reserialize(type, file) {
  const data = fs.readFileSync(file);
  const again = TYPES[type].safe_deserialize(data, LIMIT).safe_serialize(LIMIT);
  console.log(Buffer.compare(data, Buffer.from(again)) === 0);
}

function push(builder, kind, text) {
  if (kind === "bool") builder.push_boolean(text === "true");
  else if (Number(kind.slice(1)) < 40) builder[`push_${kind}`](Number(text));
  else builder[`push_${kind}`](BigInt(text));
}

function encrypt(keyFile, out, packing, ...values) {
  const key = tfhe.TfheCompactPublicKey.safe_deserialize(fs.readFileSync(keyFile), LIMIT);
  const builder = tfhe.CompactCiphertextList.builder(key);
  for (const value of values) push(builder, ...value.split("="));
  const list = packing === "packed" ? builder.build_packed() : builder.build();
  fs.writeFileSync(out, list.safe_serialize(LIMIT));
}

const [command, ...rest] = process.argv.slice(2);
({ reserialize, encrypt })[command](...rest);
