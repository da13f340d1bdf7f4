// Has to compile: what the types promise. Each line behind @ts-expect-error has to be an error.
import { ApiError, Chain, Client, Image, sign, Variant } from "imgsvc-client";

export async function work(client: Client, file: Blob): Promise<string> {
  const image: Image = await client.upload(file, { title: "a", tags: ["b"], focus: { x: 0, y: 1 }, progress: () => {} });
  const variant: Variant = image.thumb(300).resize(300, null, { fit: "cover" }).crop(10, 10, { place: "focus" });
  for await (const each of client.images({ q: "a", created_after: new Date() })) {
    const width: number = each.width;
    console.log(width, each.blur(2, { cut: 0.1 }).url("webp"));
  }
  const bytes: Uint8Array = await client.transform(file, new Chain().flip(), "png");
  const signed: string = await sign(variant.url(), "sk_", { expires: new Date(), widths: [1] });
  // @ts-expect-error
  image.thumb("300");
  // @ts-expect-error
  image.resize(300, 200, { fit: "wide" });
  // @ts-expect-error
  image.unknown();
  // @ts-expect-error
  await client.upload("photo.jpg");
  // @ts-expect-error
  image.title = "b";
  return signed + bytes.length + (await variant.signedUrl("webp"));
}

export const status = (error: unknown): number => (error instanceof ApiError ? error.status : 0);
