import { expect, test } from "vitest";
import { expectedEnds, masterTerm } from "./expected";

test("what of an expected tuple counts", () => {
  const tuple = { src: "192.0.2.1", dst: "10.0.0.7", sport: 0, dport: 40000 };
  expect(expectedEnds({ tuple, mask: { src: "255.255.255.255", dst: "255.255.255.255", sport: 0, dport: 65535 } })).toEqual({
    src: "192.0.2.1",
    dst: "10.0.0.7:40000",
  });
  expect(expectedEnds({ tuple, mask: { src: "0.0.0.0", dst: "255.255.255.255", sport: 0, dport: 65535 } })).toEqual({
    dst: "10.0.0.7:40000",
  });
  expect(expectedEnds({ tuple, mask: { src: "0.0.0.0", dst: "0.0.0.0", sport: 0, dport: 65535 } })).toEqual({ dst: "*:40000" });
});

test("whose it is", () => {
  expect(masterTerm({ master: { src: "10.0.0.7", dst: "2001:db8::1", sport: 5, dport: 21 } })).toBe(
    "src == 10.0.0.7 and dst == 2001:db8::1 and sport == 5 and dport == 21",
  );
});
