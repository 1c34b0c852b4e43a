import { Group, Radio, Text } from "@mantine/core";
import type { Plan } from "./draft";
import classes from "./create.module.css";

const PLANS: { plan: Plan; name: string; text: string; details: string }[] = [
  {
    plan: "BASIC",
    name: "Basic",
    text: "For development and occasional workloads.",
    details: "Suspends when idle and resumes when a client connects. Usage is measured in request units.",
  },
  {
    plan: "STANDARD",
    name: "Standard",
    text: "For production applications.",
    details: "Always running, with provisioned vCPUs that you can change at any time.",
  },
  {
    plan: "ADVANCED",
    name: "Advanced",
    text: "For workloads that need dedicated hardware.",
    details: "Dedicated nodes with their own vCPUs, memory, and storage.",
  },
];

export function PlanChoice({ plan, onChange }: { plan: Plan; onChange: (plan: Plan) => void }) {
  return (
    <Radio.Group aria-label="Plan" value={plan} onChange={(value) => onChange(value as Plan)}>
      <div className={classes.plans}>
        {PLANS.map(({ plan: value, name, text, details }) => (
          <Radio.Card key={value} value={value} className={classes.plan}>
            <Group gap={10} wrap="nowrap" mb={4}>
              <Radio.Indicator />
              <Text fw={620}>{name}</Text>
            </Group>
            <Text size="sm">{text}</Text>
            <Text size="xs" c="dimmed" mt={4}>
              {details}
            </Text>
          </Radio.Card>
        ))}
      </div>
    </Radio.Group>
  );
}
