use crate::Gateway;
use smart_home_hub::Hub;
use smart_home_light_switch::LightSwitch;
use smart_home_messages::{Celsius, Command, Query, Status, Switch};
use smart_home_temp_sensor::TempSensor;
use smart_home_thermostat::Thermostat;
use std::vec::Vec;
use veritee_harness::{Entered, Harness};

fn heats(gateway: &mut Harness<Gateway>, tenths: i16) -> Vec<Switch> {
    gateway.send("temperature", &Celsius { tenths });
    gateway.enter("rule", &());
    let commands = gateway.emitted::<Switch>("heat");
    commands.iter().for_each(|state| gateway.send("heating", state));
    commands
}

#[test]
fn the_rule_heats_when_it_is_cold_and_stops_when_it_is_warm() {
    let mut gateway = Harness::<Gateway>::new();
    assert_eq!(heats(&mut gateway, 198), []);
    assert_eq!(heats(&mut gateway, 195), [Switch::On]);
    assert_eq!(heats(&mut gateway, 204), []);
    assert_eq!(heats(&mut gateway, 205), [Switch::Off]);
    assert_eq!(heats(&mut gateway, 196), []);
}

#[test]
fn extreme_temperatures_overflow_nothing() {
    let mut gateway = Harness::<Gateway>::new();
    let command = Command { desired: Celsius { tenths: i16::MAX }, ..Command::default() };
    gateway.send("settings", &command);
    assert_eq!(heats(&mut gateway, i16::MIN), [Switch::On]);
}

#[test]
fn before_anything_is_measured_nothing_heats() {
    let mut gateway = Harness::<Gateway>::new();
    gateway.enter("rule", &());
    assert_eq!(gateway.emitted::<Switch>("heat"), []);
}

#[test]
fn a_silent_sensor_stops_the_heating() {
    let mut gateway = Harness::<Gateway>::new();
    heats(&mut gateway, 150);
    assert_eq!(gateway.late("temperature"), Entered::Accepted);
    assert_eq!(gateway.emitted::<Switch>("heat"), [Switch::Off]);
    assert!(!gateway.emitted::<Status>("status").last().expect("a status was emitted").measured);
}

/// All five modules, joined as the descriptor joins them.
#[derive(Default)]
struct Home {
    hub: Harness<Hub>,
    gateway: Harness<Gateway>,
    sensor: Harness<TempSensor>,
    thermostat: Harness<Thermostat>,
    light: Harness<LightSwitch>,
}

impl Home {
    /// One turn of the timers, and all that follows from it.
    fn tick(&mut self) {
        self.sensor.enter("sample", &());
        self.carry();
        self.gateway.enter("rule", &());
        for _ in 0..3 {
            self.carry();
        }
        assert!(self.gateway.is_quiet() && self.hub.is_quiet(), "everything was carried");
    }

    fn carry(&mut self) {
        let Self { hub, gateway, sensor, thermostat, light } = self;
        hub.emitted::<Command>("settings").iter().for_each(|event| gateway.send("settings", event));
        sensor.emitted::<Celsius>("temperature").iter().for_each(|event| gateway.send("temperature", event));
        gateway.emitted::<Switch>("heat").iter().for_each(|event| thermostat.send("heat", event));
        gateway.emitted::<Switch>("light").iter().for_each(|event| light.send("light", event));
        thermostat.emitted::<Switch>("heating").iter().for_each(|event| gateway.send("heating", event));
        light.emitted::<Switch>("lit").iter().for_each(|event| gateway.send("lit", event));
        gateway.emitted::<Status>("status").iter().for_each(|event| hub.send("status", event));
    }

    fn status(&mut self) -> Status {
        self.hub.call("query", &Query {}).expect("the hub always answers")
    }
}

#[test]
fn the_owner_commands_a_home_and_sees_it_follow() {
    let mut home = Home::default();
    home.tick();
    assert!(home.status().measured);
    let command = Command { desired: Celsius { tenths: 400 }, light: Switch::On, ..Command::default() };
    home.hub.send("command", &command);
    home.tick();
    home.tick();
    let status = home.status();
    assert_eq!((status.desired.tenths, status.light, status.heating), (400, Switch::On, Switch::On));
    home.hub.send("command", &Command { desired: Celsius { tenths: -400 }, ..command });
    home.tick();
    home.tick();
    assert_eq!(home.status().heating, Switch::Off);
}
