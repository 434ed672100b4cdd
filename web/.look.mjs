import { chromium } from "playwright-core";
import { readFileSync } from "node:fs";
const token = readFileSync("/tmp/wb-token","utf8").trim();
const [,, name, path, w="1440", h="900", scheme="light", act=""] = process.argv;
const b = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox","--disable-gpu"] });
const c = await b.newContext({ viewport: { width: +w, height: +h }, locale: "en-GB", colorScheme: scheme });
const p = await c.newPage();
p.on("pageerror", e => console.log("ERR", e.message, e.stack?.slice(0,600)));
p.on("console", m => m.type()==="error" && console.log("CON", m.text()));
await p.goto("http://127.0.0.1:8572/signin");
await p.getByLabel("Token").fill(token);
await p.getByRole("button", { name: "Sign in" }).click();
await p.waitForURL(u => u.pathname === "/");
for (const [i, one] of path.split(" ").entries()) {
  await p.goto("http://127.0.0.1:8572/" + one);
  await p.waitForTimeout(3500);
  if (act) await p.evaluate(act).catch(e=>console.log(e));
  if (process.env.HOVER) { const box = await p.locator(process.env.HOVER).boundingBox(); if (box) { await p.mouse.move(box.x+box.width*0.6, box.y+box.height*0.5); await p.waitForTimeout(400);} }
  await p.screenshot({ path: `/tmp/wb-shots/${name}${i}.png` });
}
await b.close();
