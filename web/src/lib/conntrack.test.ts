import { describe, expect, it } from "vitest";
import type { Connection } from "./api";
import { asCommand, asExactQuery, asQuery } from "./conntrack";

const tcp: Connection = {
  name: "e1f9479f-34970264",
  family: "ipv4",
  protocol: "tcp",
  protocol_number: 6,
  orig: { src: "10.0.0.8", dst: "198.51.100.12", sport: 58343, dport: 80 },
  reply: { src: "198.51.100.12", dst: "203.0.113.5", sport: 80, dport: 58343 },
  nat: true,
  zone: 0,
  id: 3791210399,
};
const ping: Connection = {
  ...tcp,
  family: "ipv6",
  protocol: "icmpv6",
  protocol_number: 58,
  orig: { src: "2001:db8:1::4", dst: "2001:db8:2::11", type: 128, code: 0, id: 7 },
  reply: { src: "2001:db8:2::11", dst: "2001:db8:1::4", type: 129, code: 0, id: 7 },
};

describe("a connection for elsewhere", () => {
  it("is a command with the tuple as opened", () => {
    expect(asCommand(tcp, "-D")).toBe("conntrack -D -p tcp -s 10.0.0.8 -d 198.51.100.12 --sport 58343 --dport 80");
  });

  it("says IPv6 and the flags of ICMPv6", () => {
    expect(asCommand(ping, "-L")).toBe(
      "conntrack -L -f ipv6 -p icmpv6 -s 2001:db8:1::4 -d 2001:db8:2::11 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7",
    );
  });

  it("has keys of GRE, a zone of one direction, and protocols without a name", () => {
    const { protocol: _, ...nameless } = tcp;
    const orig = { src: "10.0.0.8", dst: "192.0.2.1" };
    const gre = { ...tcp, protocol: "gre", orig: { ...orig, srckey: 1, dstkey: 2 }, zone: 7, zone_direction: "orig" };
    expect(asCommand(gre, "-L")).toBe("conntrack -L -p gre -s 10.0.0.8 -d 192.0.2.1 --srckey 1 --dstkey 2 --orig-zone 7");
    expect(asCommand({ ...nameless, protocol_number: 89, orig, zone: 7 }, "-L")).toBe(
      "conntrack -L -p 89 -s 10.0.0.8 -d 192.0.2.1 -w 7",
    );
  });

  it("is a query of its tuple, and with its id exactly one", () => {
    const text = "proto == tcp and src == 10.0.0.8 and sport == 58343 and dst == 198.51.100.12 and dport == 80";
    expect(asQuery(tcp)).toBe(text);
    expect(asExactQuery(tcp)).toBe(`${text} and id == 3791210399`);
    expect(asQuery(ping)).toContain("icmp.type == 128 and icmp.code == 0 and icmp.id == 7");
  });
});
