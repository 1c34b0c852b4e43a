/** A field for each parameter of an operation: of the path first, what is optional folded away. */
import { Button, Collapse, SimpleGrid, Stack, TextInput, NativeSelect, Title } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import type { Operation, Parameter } from "./document";
import { OWN_PARAMETERS } from "./request";

interface Props {
  operation: Operation;
  values: Record<string, string>;
  /** Names of those that must get a value first. */
  missing: string[];
  onChange: (name: string, value: string) => void;
}

export function Parameters({ operation, values, missing, onChange }: Props) {
  const shown = operation.parameters.filter((parameter) => !OWN_PARAMETERS.includes(parameter.name));
  const needed = shown.filter((parameter) => parameter.required);
  const optional = shown.filter((parameter) => !parameter.required);
  const [open, { toggle }] = useDisclosure(needed.length === 0 && operation.method === "GET");
  if (shown.length === 0) return null;
  const field = (parameter: Parameter) => (
    <Field
      key={parameter.name}
      parameter={parameter}
      value={values[parameter.name] ?? ""}
      error={missing.includes(parameter.name) ? "needs a value" : undefined}
      onChange={(value) => onChange(parameter.name, value)}
    />
  );
  return (
    <Stack gap="sm">
      <Title order={3} size="h3">
        Parameters
      </Title>
      {needed.length > 0 && <SimpleGrid cols={{ base: 1, sm: 2 }}>{needed.map(field)}</SimpleGrid>}
      {optional.length > 0 && (
        <>
          <div>
            <Button
              variant="subtle"
              size="compact-sm"
              color="gray"
              aria-expanded={open}
              leftSection={
                open ? <IconChevronDown size={14} aria-hidden /> : <IconChevronRight size={14} aria-hidden />
              }
              onClick={toggle}
            >
              {optional.length} optional
            </Button>
          </div>
          <Collapse expanded={open}>
            <SimpleGrid cols={{ base: 1, sm: 2 }}>{optional.map(field)}</SimpleGrid>
          </Collapse>
        </>
      )}
    </Stack>
  );
}

interface FieldProps {
  parameter: Parameter;
  value: string;
  error?: string;
  onChange: (value: string) => void;
}

function Field({ parameter, value, error, onChange }: FieldProps) {
  const shared = {
    label: parameter.name,
    description: parameter.description,
    withAsterisk: parameter.required,
    error,
    value,
  };
  if (parameter.choices) {
    const data = [{ value: "", label: "–" }, ...parameter.choices.map((choice) => ({ value: choice, label: choice }))];
    return <NativeSelect {...shared} data={data} onChange={(event) => onChange(event.currentTarget.value)} />;
  }
  return (
    <TextInput
      {...shared}
      autoComplete="off"
      spellCheck={false}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
