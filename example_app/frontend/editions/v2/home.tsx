import { useEffect, useState } from "preact/hooks";
import { type Product, products } from "../../src/lib/api";
import { Art } from "../../src/lib/art";
import { money } from "../../src/lib/money";
import horn from "./horn.svg";

export function Home() {
  const [shelf, setShelf] = useState<Product[]>([]);
  useEffect(() => void products().then(setShelf, () => setShelf([])), []);
  return (
    <>
      <section class="poster">
        <h1>
          <span>Write</span>
          <span>back.</span>
        </h1>
        <div class="poster-line">
          <p class="lead">Somebody is looking at their doormat. Paper, ink and stamps, packed before half past two.</p>
          <a class="button" href="#shelf">
            Pick your paper
          </a>
        </div>
        <img class="poster-horn" src={horn} alt="" width="480" height="400" />
      </section>
      <section class="shelf" id="shelf">
        <h2>Eight things worth a stamp</h2>
        <ul class="blocks">
          {shelf.map((item) => (
            <li key={item.slug}>
              <a class="block" href={`/product/${item.slug}`}>
                <Art id={item.art} />
                <div>
                  <div class="block-foot">
                    <h3>{item.name}</h3>
                    <span class="price">{money(item.price)}</span>
                  </div>
                </div>
              </a>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}
