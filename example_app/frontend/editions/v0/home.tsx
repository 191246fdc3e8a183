import { useEffect, useState } from "preact/hooks";
import { type Product, products } from "../../src/lib/api";
import { Art } from "../../src/lib/art";
import { money } from "../../src/lib/money";
import bundle from "./bundle.svg";

export function Home() {
  const [shelf, setShelf] = useState<Product[]>([]);
  useEffect(() => void products().then(setShelf, () => setShelf([])), []);
  return (
    <>
      <section class="list-head">
        <div>
          <h1>Price list No. 11</h1>
          <p>Stationery for private correspondence. Orders by letter, please; we do answer.</p>
        </div>
        <img src={bundle} alt="A bundle of letters tied with string" width="200" height="180" />
      </section>
      <ul class="list" id="shelf">
        {shelf.map((item) => (
          <li key={item.slug}>
            <a href={`/product/${item.slug}`}>
              <Art id={item.art} />
              <span class="list-name">{item.name}</span>
              <span class="price">{money(item.price)}</span>
              <span class="list-line">{item.line}</span>
            </a>
          </li>
        ))}
      </ul>
      <p class="list-terms">Postage is extra and varies with the weather. Goods are wrapped in what you are looking at.</p>
    </>
  );
}
