/** The choice to send images as they are, instead of resized in the browser. */
export function FullSize({ on, onChange }: { on: boolean; onChange: (on: boolean) => void }) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={on}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      Upload at full size
    </label>
  );
}
