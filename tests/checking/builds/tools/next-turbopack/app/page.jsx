"use client";
import dynamic from "next/dynamic";
import Link from "next/link";
import "./main.css";

const Lazy = dynamic(() => import("./lazy"), { ssr: false });

export default function Page() {
  return (
    <main>
      <Link href="/about">about</Link>
      <Lazy />
    </main>
  );
}
