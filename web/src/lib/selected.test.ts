import { describe, expect, it } from "vitest";
import type { Connection } from "./api";
import { byIds, without } from "./selected";

describe("chosen connections", () => {
  it("are selected by their ids", () => {
    expect(byIds(["e1f9479f-34970264"])).toBe("id == 0xe1f9479f");
    expect(byIds(["e1f9479f-34970264", "0000001a-34970264"])).toBe("id in {0xe1f9479f, 0x0000001a}");
  });

  it("do not take those along that share an id", () => {
    const way = { src: "10.0.0.1", dst: "10.0.0.2" };
    const stranger: Connection = {
      name: "0000001a-00000000",
      family: "ipv4",
      protocol_number: 50,
      orig: way,
      reply: way,
      nat: false,
      zone: 0,
      id: 26,
    };
    expect(without("id == 0x1a", [stranger])).toBe(
      "id == 0x1a and not (proto == 50 and src == 10.0.0.1 and dst == 10.0.0.2 and id == 26)",
    );
    expect(without("id == 0x1a", [])).toBe("id == 0x1a");
  });
});
