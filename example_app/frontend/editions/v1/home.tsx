import { useEffect, useState } from "preact/hooks";
import { type Product, products } from "../../src/lib/api";
import { Art } from "../../src/lib/art";
import { money } from "../../src/lib/money";
import stamp from "./stamp.svg";
import mark from "./cancel.svg";

export function Home() {
  const [shelf, setShelf] = useState<Product[]>([]);
  useEffect(() => void products().then(setShelf, () => setShelf([])), []);
  return (
    <>
      <section class="letter">
        <p class="letter-from">
          Second Post
          <br />
          14 Quay Street, upstairs
          <br />
          Open when the kettle is on
        </p>
        <div class="letter-stamp">
          <img src={stamp} alt="A postage stamp with a gull over the harbour" width="220" height="264" />
          <img class="mark" src={mark} alt="" width="275" height="140" />
        </div>
        <div class="letter-to">
          <h1>To everyone you have been meaning to write to</h1>
          <p class="lead">Paper that crosses oceans, ink that dries before you change your mind, and a stamp for luck.</p>
          <a class="button" href="#shelf">
            See this week’s shelf
          </a>
        </div>
      </section>
      <section id="shelf">
        <h2>On the shelf this week</h2>
        <ul class="stamps">
          {shelf.map((item) => (
            <li key={item.slug}>
              <a href={`/product/${item.slug}`}>
                <div class="stamp-shadow">
                  <div class="stamp">
                    <div class="stamp-art">
                      <span class="price">{money(item.price)}</span>
                      <Art id={item.art} />
                    </div>
                    <div class="stamp-text">
                      <h3>{item.name}</h3>
                      <p>{item.line}</p>
                    </div>
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
