import { useEffect, useState } from "preact/hooks";
import { type Product as Item, products } from "../lib/api";
import { Art } from "../lib/art";
import { addToBag } from "../lib/bag";
import { money } from "../lib/money";

export function Product({ slug }: { slug: string }) {
  const [item, setItem] = useState<Item | null | undefined>();
  const [added, setAdded] = useState(0);
  useEffect(() => {
    products().then(
      (all) => setItem(all.find((one) => one.slug === slug) ?? null),
      () => setItem(null),
    );
  }, [slug]);
  useEffect(() => {
    if (item) document.title = `${item.name} · Second Post`;
  }, [item]);
  if (item === undefined) return <p class="waiting">Looking on the shelf…</p>;
  if (item === null) {
    return (
      <section class="plain">
        <h1>Not on our shelves</h1>
        <p>
          We sell nothing called “{slug}”. <a href="/">Back to the shop</a>
        </p>
      </section>
    );
  }
  return (
    <article class="product">
      <div class="product-art">
        <Art id={item.art} label={item.name} />
      </div>
      <div class="product-text">
        <p class="kind">{item.kind}</p>
        <h1>{item.name}</h1>
        <p class="lead">{item.line}</p>
        <p>{item.story}</p>
        <ul class="facts">
          {item.facts.map((fact) => (
            <li key={fact}>{fact}</li>
          ))}
        </ul>
        <p class="buy">
          <span class="price">{money(item.price)}</span>
          <button
            type="button"
            class="button"
            onClick={() => {
              addToBag();
              setAdded(added + 1);
            }}
          >
            {added ? "Add another" : "Add to bag"}
          </button>
        </p>
      </div>
    </article>
  );
}
