// ipx as its README shows it (file storage, Node's own server), one process per core, nothing cached.
// Environment: PHOTOS, the folder to serve; PORT; PROCESSES; HEIF_EFFORT, sharp's AVIF effort.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { createIPX, createIPXNodeServer, ipxFSStorage } from "ipx";
import sharp from "sharp";

if (cluster.isPrimary) {
  for (let n = 0; n < Number(process.env.PROCESSES); n++) cluster.fork();
} else {
  sharp.cache(false);
  const ipx = createIPX({
    storage: ipxFSStorage({ dir: process.env.PHOTOS }),
    // ipx passes these to sharp: progressive JPEG (its default) and the others' AVIF effort, for equal work.
    sharpOptions: { jpegProgressive: true, heifEffort: Number(process.env.HEIF_EFFORT) },
  });
  createServer(createIPXNodeServer(ipx)).listen(Number(process.env.PORT), "127.0.0.1");
}
