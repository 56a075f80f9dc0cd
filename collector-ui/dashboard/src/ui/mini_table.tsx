/* A small table in a panel: sticky headings, its own scroll. Each column: its title, whether it has numbers, and a class that its cells
 * have, too. */
import type { ComponentChildren } from 'preact';

export function MiniTable(props: { label: string; head: [string, boolean, string?][]; children: ComponentChildren }) {
    return (
        <div class="tscroll hp-list" tabIndex={0} role="region" aria-label={props.label}>
            <table class="mini">
                <thead>
                    <tr>
                        {props.head.map(([title, is_number, more]) => (
                            <th key={title} scope="col" class={`${is_number ? 'num' : ''} ${more ?? ''}`}>
                                {title}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>{props.children}</tbody>
            </table>
        </div>
    );
}
