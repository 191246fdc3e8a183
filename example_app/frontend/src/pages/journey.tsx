/** The four stations of a letter, in their order. */
export const Journey = ({ steps }: { steps: { name: string; text: string }[] }) => (
  <ol class="journey">
    {steps.map((step) => (
      <li key={step.name}>
        <h2>{step.name}</h2>
        <p>{step.text}</p>
      </li>
    ))}
  </ol>
);
