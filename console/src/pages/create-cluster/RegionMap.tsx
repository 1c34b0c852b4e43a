/** Regions on a map of the world. The list below it offers the same choice to keyboards and screen readers. */
import { geoNaturalEarth1, geoPath } from "d3-geo";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import land from "world-atlas/land-110m.json";
import type { RegionInfo } from "./draft";
import { COORDINATES } from "./region-coordinates";
import classes from "./create.module.css";

const WIDTH = 720;
const HEIGHT = 330;

const projection = geoNaturalEarth1()
  .scale(142)
  .translate([WIDTH / 2, HEIGHT / 2 + 34]);
const topology = land as unknown as Topology<{ land: GeometryCollection }>;
const outline = geoPath(projection)(feature(topology, topology.objects.land)) ?? "";

interface Props {
  regions: RegionInfo[];
  chosen: string[];
  onToggle: (name: string) => void;
}

export default function RegionMap({ regions, chosen, onToggle }: Props) {
  const points = regions.flatMap((region) => {
    const coordinates = COORDINATES[region.location];
    const point = coordinates && projection(coordinates);
    return point ? [{ region, point }] : [];
  });
  // Draw selected regions on top.
  points.sort((one, other) => Number(chosen.includes(one.region.name)) - Number(chosen.includes(other.region.name)));
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} className={classes.map} aria-hidden="true">
      <path d={outline} className={classes.land} />
      {points.map(({ region, point: [x, y] }) => (
        <g
          key={region.name}
          className={classes.point}
          data-chosen={chosen.includes(region.name) || undefined}
          data-primary={chosen[0] === region.name || undefined}
          transform={`translate(${x} ${y})`}
          onClick={() => onToggle(region.name)}
        >
          <title>{`${region.location} · ${region.name}`}</title>
          <circle r="12" className={classes.reach} />
          <circle r={chosen.includes(region.name) ? 6.5 : 4.5} className={classes.disc} />
        </g>
      ))}
    </svg>
  );
}
