import { Button, Group, SegmentedControl, Skeleton, Text, UnstyledButton } from "@mantine/core";
import { IconCheck, IconStar, IconStarFilled } from "@tabler/icons-react";
import { Suspense, lazy } from "react";
import { MAX_REGIONS } from "../../api/validation";
import { CLOUD_NAMES } from "../../features/cluster/format";
import { offeredRegions, withOfferedRegions, type Cloud, type Draft, type RegionInfo } from "./draft";
import classes from "./create.module.css";

const RegionMap = lazy(() => import("./RegionMap"));

interface Props {
  draft: Draft;
  all: RegionInfo[];
  onChange: (draft: Draft) => void;
  error: string | null;
}

/** Selects the cloud and its regions, on a map and in a list. */
export function RegionChoice({ draft, all, onChange, error }: Props) {
  const regions = offeredRegions(all, draft.plan, draft.cloud);
  const single = draft.plan === "ADVANCED";
  const clouds = (Object.keys(CLOUD_NAMES) as Cloud[]).filter(
    (cloud) => offeredRegions(all, draft.plan, cloud).length > 0,
  );
  const toggle = (name: string) => {
    if (single) return onChange({ ...draft, regions: [name] });
    const without = draft.regions.filter((other) => other !== name);
    if (without.length < draft.regions.length) {
      if (without.length > 0) onChange({ ...draft, regions: without });
    } else if (draft.regions.length < MAX_REGIONS) {
      onChange({ ...draft, regions: [...draft.regions, name] });
    }
  };
  const makePrimary = (name: string) =>
    onChange({ ...draft, regions: [name, ...draft.regions.filter((other) => other !== name)] });
  return (
    <>
      <SegmentedControl
        aria-label="Cloud"
        value={draft.cloud}
        onChange={(cloud) => onChange(withOfferedRegions({ ...draft, cloud: cloud as Cloud, regions: [] }, all))}
        data={clouds.map((cloud) => ({ value: cloud, label: CLOUD_NAMES[cloud] }))}
        style={{ alignSelf: "flex-start" }}
      />
      <div className={classes.mapFrame}>
        <Suspense fallback={<Skeleton className={classes.mapWait} />}>
          <RegionMap regions={regions} chosen={draft.regions} onToggle={toggle} />
        </Suspense>
      </div>
      <ul className={classes.regions} aria-label="Regions">
        {regions.map(({ name, location }) => {
          const chosen = draft.regions.includes(name);
          return (
            <li key={name}>
              <UnstyledButton
                className={classes.region}
                aria-pressed={chosen}
                data-chosen={chosen || undefined}
                onClick={() => toggle(name)}
              >
                <span className={classes.regionLocation}>{location}</span>
                <span className={classes.regionName}>{name}</span>
                {chosen && <IconCheck size={15} aria-hidden />}
              </UnstyledButton>
            </li>
          );
        })}
      </ul>
      {draft.regions.length > 1 && (
        <Group gap="xs">
          <Text size="sm">Primary region</Text>
          {draft.regions.map((name, index) => (
            <Button
              key={name}
              size="compact-sm"
              variant={index === 0 ? "light" : "default"}
              aria-pressed={index === 0}
              leftSection={index === 0 ? <IconStarFilled size={12} aria-hidden /> : <IconStar size={12} aria-hidden />}
              onClick={() => makePrimary(name)}
            >
              {name}
            </Button>
          ))}
        </Group>
      )}
      <Text size="xs" c="dimmed">
        Regions are labels: every cluster runs on this server. They let tools for CockroachDB Cloud work unchanged.
      </Text>
      {error && (
        <Text size="sm" c="var(--mantine-color-error)" role="alert">
          {error}
        </Text>
      )}
    </>
  );
}
