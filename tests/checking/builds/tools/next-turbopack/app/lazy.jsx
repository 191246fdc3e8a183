"use client";

export default function Lazy() {
  return <button onClick={async () => alert((await import("../src/pay.js")).pay(3))}>pay</button>;
}
