/** The small picture of a file: fetched when its row is shown, let go with it. */
import { useEffect, useState } from "preact/hooks";
import { HEIGHT, WIDTH } from "./thumbnails";

/** `load` gives the image, or nothing where this browser has none. */
export function Thumbnail({ load }: { load: () => Promise<Blob | undefined> }) {
  const [address, setAddress] = useState<string>();
  useEffect(() => {
    let made: string | undefined;
    let gone = false;
    void load().then((image) => {
      if (!image || gone) return;
      made = URL.createObjectURL(image);
      setAddress(made);
    });
    return () => {
      gone = true;
      if (made) URL.revokeObjectURL(made);
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
