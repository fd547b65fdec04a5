/** The small picture of a file: loaded when its row is shown, freed with it. */
import { useEffect, useState } from "preact/hooks";
import { HEIGHT, WIDTH } from "./make-thumbnail";

/** `load` returns the image, or undefined if this browser has none. */
export function Thumbnail({ load }: { load: () => Promise<Blob | undefined> }) {
  const [address, setAddress] = useState<string>();
  useEffect(() => {
    let url: string | undefined;
    let gone = false;
    void load().then((image) => {
      if (!image || gone) return;
      url = URL.createObjectURL(image);
      setAddress(url);
    });
    return () => {
      gone = true;
      if (url) URL.revokeObjectURL(url);
    };
  }, []);
  return address ? (
    <img
      class="thumbnail"
      src={address}
      alt=""
      width={WIDTH}
      height={HEIGHT}
      onError={() => setAddress(undefined)}
    />
  ) : (
    <span class="thumbnail" />
  );
}
