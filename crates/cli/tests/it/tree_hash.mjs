// docs/receipt.md once more, by somebody else: prints the tree hash of what stands at PATH, by the receipt's "others".
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

const [receipt, path] = process.argv.slice(2);
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const unescaped = (text) => Buffer.concat(text.split(/(\\\\|\\x[0-9a-f]{2})/).map((part) =>
  part === "\\\\" ? Buffer.from("\\") : /^\\x/.test(part) ? Buffer.from(part.slice(2), "hex") : Buffer.from(part)));
const join = (a, b) => (a.length ? Buffer.concat([a, Buffer.from("/"), b]) : b);
const others = new Set(JSON.parse(readFileSync(receipt)).others.map((other) => unescaped(other).toString("hex")));

function record(root, relative, name) {
  const at = relative.length ? join(root, relative) : root;
  const stat = lstatSync(at, { bigint: true });
  const mode = (stat.mode & 0o7777n).toString(8).padStart(4, "0");
  let fields = ["o", mode, stat.mtimeNs, "-", "-"];
  if (stat.isFile()) {
    fields = ["f", mode, stat.mtimeNs, stat.size, sha256(readFileSync(at))];
  } else if (stat.isSymbolicLink()) {
    const target = readlinkSync(at, { encoding: "buffer" });
    fields = ["l", "-", stat.mtimeNs, target.length, sha256(target)];
  } else if (stat.isDirectory()) {
    const names = readdirSync(at, { encoding: "buffer" }).sort(Buffer.compare);
    const wanted = names.filter((entry) => !others.has(join(relative, entry).toString("hex")));
    const records = wanted.map((entry) => record(root, join(relative, entry), entry));
    fields = ["d", mode, stat.mtimeNs, "-", sha256(Buffer.concat(records))];
  }
  return Buffer.concat([Buffer.from(fields.join(" ") + " "), name, Buffer.from([0])]);
}

console.log(sha256(record(Buffer.from(path), Buffer.alloc(0), Buffer.alloc(0))));
