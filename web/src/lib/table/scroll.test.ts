import { expect, test } from "vitest";
import { MOST, Scale } from "./scroll";

function scale(rows: number): Scale {
  const scale = new Scale();
  scale.resize(rows * 30, 600);
  return scale;
}

test("a short list is scrolled as it is", () => {
  const short = scale(1000);
  expect(short.physical).toBe(30_000);
  short.scrolled(1234);
  expect(short.top).toBe(1234);
  expect(short.at).toBe(1234);
});

test("a wheel moves a long list by as much as it turns", () => {
  const long = scale(1_000_000);
  expect(long.physical).toBe(MOST);
  long.scrolled(100);
  long.scrolled(200);
  expect(long.top).toBe(200);
  // The bar belongs where that is in proportion.
  expect(long.at).toBeCloseTo(80, 0);
  long.put(80);
  long.scrolled(180);
  expect(long.top).toBe(300);
});

test("a dragged bar moves in proportion, and both ends are reached", () => {
  const long = scale(1_000_000);
  long.scrolled(MOST / 2);
  expect(long.top / 30).toBeCloseTo(500_000, -2);
  long.scrolled(MOST - 600);
  expect(long.top).toBe(30_000_000 - 600);
  long.scrolled(0);
  expect(long.top).toBe(0);
});

test("near its end the element is put back before the list is cut short", () => {
  const long = scale(1_000_000);
  long.scrolled(MOST / 2);
  expect(long.isUrgent).toBe(false);
  long.scrolled(20_000);
  for (let at = 20_000; at >= 2000; at -= 1000) long.scrolled(at);
  expect(long.top).toBeGreaterThan(20_000);
  expect(long.isUrgent).toBe(true);
  long.put(long.at);
  expect(long.isUrgent).toBe(false);
});

test("a row is brought into the window by as little as it takes", () => {
  const short = scale(1000);
  short.reveal(5, 30);
  expect(short.top).toBe(0);
  short.reveal(25, 30);
  expect(short.top).toBe(26 * 30 - 600);
  short.reveal(3, 30);
  expect(short.top).toBe(90);
});

test("a list that shrinks keeps the window within it", () => {
  const short = scale(1000);
  short.scrolled(29_000);
  short.resize(3000, 600);
  expect(short.top).toBe(2400);
});
