import { expect, test } from "vitest";
import { protocolOf, stateOf, withoutTerm, withProtocol, withState, withTerm } from "./conjuncts";

test("a protocol and a state are read from what must hold", () => {
  expect(protocolOf("tcp and dport == 443")).toBe("tcp");
  expect(protocolOf("dport == 53 and proto == UDP")).toBe("udp");
  expect(protocolOf("tcp or udp")).toBe("");
  expect(protocolOf("not tcp")).toBe("");
  expect(protocolOf("(tcp or udp) and nat")).toBe("");
  expect(stateOf("tcp and state == established")).toBe("ESTABLISHED");
  expect(stateOf("state in {CLOSE, TIME_WAIT}")).toBe("");
});

test("the controls write into the query and leave the rest", () => {
  expect(withProtocol("", "tcp")).toBe("tcp");
  expect(withProtocol("src == 10.0.0.1", "udp")).toBe("src == 10.0.0.1 and udp");
  expect(withProtocol("tcp and src == 10.0.0.1", "udp")).toBe("src == 10.0.0.1 and udp");
  expect(withProtocol("tcp and (nat or local)", "")).toBe("(nat or local)");
  expect(withProtocol("nat or local", "tcp")).toBe("(nat or local) and tcp");
  expect(withState("tcp", "CLOSE")).toBe("tcp and state == CLOSE");
  expect(withState("tcp and state == CLOSE and nat", "TIME_WAIT")).toBe("tcp and nat and state == TIME_WAIT");
});

test("a state that the protocol does not have goes with the old protocol", () => {
  expect(withProtocol("tcp and state == TIME_WAIT", "udp")).toBe("udp");
  expect(withProtocol("tcp and state == ESTABLISHED", "sctp")).toBe("state == ESTABLISHED and sctp");
});

test("a term is added once, outside of brackets and comments", () => {
  expect(withTerm("tcp", "nat")).toBe("tcp and nat");
  expect(withTerm("tcp and nat", "nat")).toBe("tcp and nat");
  expect(withTerm("tcp # only these", "nat")).toBe("tcp and nat");
  expect(withTerm("(tcp or udp)", "nat")).toBe("(tcp or udp) and nat");
  expect(withTerm("(tcp or udp) and local", "nat")).toBe("(tcp or udp) and local and nat");
  expect(withTerm("tcp or udp", "nat")).toBe("(tcp or udp) and nat");
  expect(withoutTerm("tcp", "src == 10.0.0.1")).toBe("tcp and not (src == 10.0.0.1)");
});
