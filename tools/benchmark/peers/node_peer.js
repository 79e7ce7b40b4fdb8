"use strict";
// node_peer.js PROGRAM: for each byte on standard input starts PROGRAM, waits
// for its exit and writes the nanoseconds that took, as 8 bytes.

const {spawn} = require("child_process");
const {writeSync} = require("fs");
const {endianness} = require("os");

process.stdin.on("data", () => {
  const begun = process.hrtime.bigint();
  spawn(process.argv[2], {stdio: "ignore"}).on("exit", (code) => {
    const elapsed = process.hrtime.bigint() - begun;
    if (code !== 0) process.exit(1);
    const answer = Buffer.alloc(8);
    if (endianness() === "LE") answer.writeBigInt64LE(elapsed);
    else answer.writeBigInt64BE(elapsed);
    writeSync(1, answer);
  });
});
