import { Group, Radio, Text } from "@mantine/core";
import type { Plan } from "./draft";
import classes from "./create.module.css";

const PLANS: { plan: Plan; name: string; text: string; points: string }[] = [
  {
    plan: "BASIC",
    name: "Basic",
    text: "For trying and for what is used now and then.",
    points: "Sleeps when nobody is connected, wakes in a moment. Counted in request units.",
  },
  {
    plan: "STANDARD",
    name: "Standard",
    text: "For applications that are always there.",
    points: "Always awake, with a fixed number of vCPUs that you can change.",
  },
  {
    plan: "ADVANCED",
    name: "Advanced",
    text: "A machine of its own size.",
    points: "A node with its own vCPUs, memory and storage.",
  },
];

export function PlanChoice({ plan, onChange }: { plan: Plan; onChange: (plan: Plan) => void }) {
  return (
    <Radio.Group aria-label="Plan" value={plan} onChange={(value) => onChange(value as Plan)}>
      <div className={classes.plans}>
        {PLANS.map(({ plan: value, name, text, points }) => (
          <Radio.Card key={value} value={value} className={classes.plan}>
            <Group gap={10} wrap="nowrap" mb={4}>
              <Radio.Indicator />
              <Text fw={620}>{name}</Text>
            </Group>
            <Text size="sm">{text}</Text>
            <Text size="xs" c="dimmed" mt={4}>
              {points}
            </Text>
          </Radio.Card>
        ))}
      </div>
    </Radio.Group>
  );
}
