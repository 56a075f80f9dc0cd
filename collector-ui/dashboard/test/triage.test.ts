import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hidden_by, marked, parse_span, read_silence, scopes } from '../src/lib/triage';
import { alert_title, read_alert, read_note } from '../src/live/records';

const NOW = 1_700_000_000_000;
const record = (more: Record<string, unknown> = {}) => ({ alert_id: 'a', kind: 'ALERT_KIND_PORT_SCAN_VERTICAL', state: 'ALERT_STATE_OPEN', severity: 'SEVERITY_MEDIUM', attackers: [{ ip: '10.0.9.66' }], victims: [{ ip: '10.0.1.20' }], sensor_ids: ['s-1'], ...more });

test('an alert is hidden while a silence is on, or as long as it is acknowledged', () => {
    assert.equal(hidden_by(undefined, NOW), '');
    const note = read_note({ alert_id: 'a', is_acknowledged: true, acknowledgement: { who: 'ada', time: '2023-11-14T22:13:20Z', comment: 'ours', severity: 'SEVERITY_MEDIUM' } });
    assert.deepEqual([note.who, note.at_ms, note.comment, note.at_severity], ['ada', NOW, 'ours', 'medium']);
    assert.equal(hidden_by(note, NOW), 'acknowledged');
    /* it has become worse: who had seen it is still known */
    assert.equal(hidden_by({ ...note, acknowledged: false }, NOW), '');
    const silenced = read_note({ alert_id: 'a', silence_id: '1'.repeat(32), silence_expire_time: '2023-11-14T22:13:21Z' });
    assert.equal(hidden_by(silenced, NOW), 'silenced');
    assert.equal(hidden_by(silenced, NOW + 1000), '');
    assert.equal(hidden_by({ ...silenced, acknowledged: true }, NOW + 1000), 'acknowledged');
});

test('a chart marks what is shown and has begun, the worst first', () => {
    const alert = (id: string, severity: string, more = {}) => read_alert(record({ alert_id: id, severity: `SEVERITY_${severity}`, first_time: '2023-11-14T22:13:20Z', ...more }));
    const list = [alert('low', 'LOW'), alert('silenced', 'CRITICAL'), alert('high', 'HIGH'), alert('none', 'HIGH', { first_time: undefined })];
    const worst_first = ['critical', 'high', 'medium', 'low', 'info'];
    const ids = (shown: (id: string) => boolean, most?: number) => marked(list, (a) => shown(a.id), worst_first, most).map((a) => a.id);
    assert.deepEqual(ids((id) => id !== 'silenced'), ['high', 'low']);
    assert.deepEqual(ids(() => true), ['silenced', 'high', 'low']);
    assert.deepEqual(ids(() => true, 2), ['silenced', 'high']);
});

test('scopes go from the pair to the kind alone, and name what they hide', () => {
    const list = scopes([read_alert(record())], alert_title);
    assert.deepEqual(list.map((s) => s.key), ['pair', 'both', 'kind', 'subject']);
    assert.deepEqual(list.map((s) => s.label), ['Port scan, 10.0.9.66 → 10.0.1.20', 'Port scan, 10.0.9.66', 'Port scan, whoever it is', '10.0.9.66, whatever it is']);
    assert.deepEqual(list[0].choice, { kinds: ['ALERT_KIND_PORT_SCAN_VERTICAL'], attackers: ['10.0.9.66'], victims: ['10.0.1.20'] });
    assert.deepEqual(list[1].choice, { kinds: ['ALERT_KIND_PORT_SCAN_VERTICAL'], subjects: ['10.0.9.66'] });
    assert.deepEqual(list[2].choice, { kinds: ['ALERT_KIND_PORT_SCAN_VERTICAL'] });
    assert.deepEqual(list[3].choice, { subjects: ['10.0.9.66'] });
});

test('without addresses the sensors are whom it is about; without an attacker the victim', () => {
    const sensor = scopes([read_alert(record({ kind: 'ALERT_KIND_SENSOR_LOSS', attackers: [], victims: [] }))], alert_title);
    assert.deepEqual(sensor.map((s) => [s.key, s.choice]), [
        ['both', { kinds: ['ALERT_KIND_SENSOR_LOSS'], sensor_ids: ['s-1'] }],
        ['kind', { kinds: ['ALERT_KIND_SENSOR_LOSS'] }],
        ['subject', { sensor_ids: ['s-1'] }],
    ]);
    const victim = scopes([read_alert(record({ attackers: [] }))], alert_title);
    assert.deepEqual(victim.map((s) => s.key), ['both', 'kind', 'subject']);
    assert.deepEqual(victim[2].choice, { subjects: ['10.0.1.20'] });
});

test('several alerts make one choice of all, each value once and no more than is taken', () => {
    const many = Array.from({ length: 80 }, (_, i) => read_alert(record({ attackers: [{ ip: `10.0.0.${i}` }, { ip: '10.0.0.1' }] })));
    const [pair, both] = scopes(many, alert_title);
    assert.equal(pair.choice.attackers?.length, 64);
    assert.deepEqual(both.choice.kinds, ['ALERT_KIND_PORT_SCAN_VERTICAL']);
    assert.equal(both.label, 'Port scan, 10.0.0.0 and 63 others');
});

test('spans are read as people write them', () => {
    assert.deepEqual(['90m', ' 36 h', '2d', '1w', '0.5h', '30 min'].map(parse_span), [5400, 129_600, 172_800, 604_800, 1800, 1800]);
    for (const wrong of ['', 'soon', '0h', '-1h', '5', '5s', '1e9d', '99999d']) {
        assert.equal(parse_span(wrong), null, wrong);
    }
});

test('a silence is read as it comes, also with fields that are not known', () => {
    const s = read_silence({ silence_id: '1', kinds: ['ALERT_KIND_BEACON'], attackers: ['10.0.0.1'], victims: ['10.0.0.2', '10.0.0.3', '10.0.0.4'], max_severity: 'SEVERITY_UNSPECIFIED', reason: 'r', created_by: 'ada', state: 'SILENCE_STATE_ACTIVE', more: 1 });
    assert.deepEqual([s.kinds, s.whom, s.max_severity, s.state], [['BEACON'], '10.0.0.1 → 10.0.0.2 and 2 others', '', 'ACTIVE']);
    assert.equal(read_silence(null).id, '');
});
